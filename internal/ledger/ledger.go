package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Append adds a line of JSON for each value to a file, all of them or, if one is no JSON, none; the file is made if it is not
// there. If it has no name, nothing is done. The error is that of the encoder or of the file.
func Append(file string, values ...any) error {
	if file == "" {
		return nil
	}
	var lines bytes.Buffer
	for _, v := range values {
		if err := json.NewEncoder(&lines).Encode(v); err != nil {
			return fmt.Errorf("ledger %s: %w", file, err)
		}
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	_, err = f.Write(lines.Bytes())
	return errors.Join(err, f.Close())
}

// Commit names the commit of the sources in the working directory, with "-dirty" if they differ from it, or says "unknown".
func Commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
