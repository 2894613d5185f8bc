package cluster

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// etcdProgram is etcd's own main package. The go.mod of this module names its version.
const etcdProgram = "go.etcd.io/etcd/server/v3"

// BuildEtcd builds the etcd that go.mod names and writes the program to file. The working directory
// must be within this module.
func BuildEtcd(ctx context.Context, file string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", file, etcdProgram)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s (run this in bench/, or name a program with -etcd-binary): %w\n%s",
			etcdProgram, err, out)
	}
	return nil
}

// Describe returns the version, the compiler and a fingerprint (six bytes) of a program, on one line.
func Describe(binary string) (string, error) {
	f, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read %s: %w", binary, err)
	}
	fingerprint := fmt.Sprintf("sha256 %.6x", hash.Sum(nil))
	info, err := buildinfo.Read(f)
	if err != nil {
		return "not a Go program, " + fingerprint, nil
	}
	return fmt.Sprintf("%s, %s, %s", version(info), info.GoVersion, fingerprint), nil
}

// version returns the module of the main package, its version and, where the program was built from
// a working tree, the commit.
func version(info *buildinfo.BuildInfo) string {
	v := info.Main.Path + " " + info.Main.Version
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			v += " commit " + setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			v += " with changes"
		}
	}
	return v
}
