package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

// profileFlag makes both subjects serve profiles on their client URL.
const profileFlag = "--enable-pprof"

// profileFile returns where the profile of a run belongs.
func profileFile(dir string, r *report.Run) string {
	name := strings.ReplaceAll(r.Scenario, ":", "-")
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%s-%s-round%d.pprof", name, r.Clients, r.Target, r.Subject, r.Round))
}

// takeProfile saves a CPU profile of the leader that fits into the window. A subject that offers
// none is warned about and measured all the same.
func (b *bed) takeProfile(ctx context.Context) {
	seconds := int(b.options.window / time.Second)
	ctx, cancel := context.WithTimeout(ctx, b.options.window+grace)
	defer cancel()
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", b.cluster.Servers[b.cluster.Leader].URL, seconds)
	if err := download(ctx, url, b.profile); err != nil {
		b.warn("no profile: %v", err)
	}
}

func download(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	return os.WriteFile(file, body, 0o644)
}
