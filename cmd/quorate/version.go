package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/server"
)

func versionCommand(w *world) *cobra.Command {
	var output outputFlags
	asEtcd := false
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupCluster,
		Short:   "Print the version of this program, and of the API that it speaks",
		Example: `  quorate version
  quorate version --output json`,
		Args: noWords,
		RunE: func(*cobra.Command, []string) error {
			format, err := output.format(show.Simple)
			if err != nil {
				return err
			}
			text := versionText()
			switch {
			case asEtcd:
				text = etcdVersionText()
			case format == show.JSON:
				text = versionJSON()
			}
			_, err = fmt.Fprint(w.out, text)
			return failed(err)
		},
	}
	output.add(cmd)
	cmd.Flags().BoolVar(&asEtcd, "as-etcd", false, "as etcd --version does")
	_ = cmd.Flags().MarkHidden("as-etcd") // It exists.
	return cmd
}

func versionText() string {
	return fmt.Sprintf("quorate version: %s\netcd API version: %s\nbuild: %s, %s %s/%s\n",
		server.Version, etcdapi.EtcdVersion, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionJSON() string {
	b, _ := json.Marshal(map[string]string{ // strings always can be
		"quorate": server.Version, "etcdAPI": etcdapi.EtcdVersion, "commit": commit(),
		"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	})
	return string(b) + "\n"
}

// commit names the sources that this program was built from, as far as the compiler was told.
func commit() string {
	revision, changed := "unknown commit", ""
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return revision
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = "commit " + setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = " with changes"
		}
	}
	return revision + changed
}
