package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	processPlanted = flag.Bool("process.planted", false, "plant each bug of planted/ in the program; the test that it names must fail")
	processOverlay = flag.String("process.overlay", "", "build the program under test with this overlay of its sources")
)

var (
	plantedFile   = regexp.MustCompile(`(?m)^\+\+\+ b/(\S+)$`)
	plantedCaught = regexp.MustCompile(`(?m)^Caught by: (TestProcess\w+)$`)
)

// Bugs that only processes can have, or that only real disks and clocks show, are planted here as others
// are in package sim: by a patch, and an overlay of the sources. Without the flag, it is only made sure
// that they can be planted.
func TestPlantedBugsAreCaughtByProcesses(t *testing.T) {
	patches, err := filepath.Glob(filepath.Join("planted", "*.patch"))
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches: %v", len(patches), err)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			text, err := os.ReadFile(patch)
			if err != nil {
				t.Fatal(err)
			}
			caught := plantedCaught.FindAllSubmatch(text, -1)
			if caught == nil {
				t.Fatal("the patch does not say which test catches it")
			}
			overlay := overlayOf(t, text)
			if !*processPlanted {
				return
			}
			for _, name := range caught {
				expectCaught(t, string(name[1]), overlay)
			}
		})
	}
}

// expectCaught runs a test with a bug, which it must fail for.
func expectCaught(t *testing.T, name, overlay string) {
	t.Helper()
	out, err := exec.Command("go", "test", "-count=1", "-timeout=10m", "-run=^"+name+"$", ".", "-args", "-process.overlay="+overlay).CombinedOutput()
	switch {
	case bytes.Contains(out, []byte(buildFailed)):
		t.Errorf("it does not compile:\n%s", tail(string(out), 2000))
	case err == nil || !bytes.Contains(out, []byte("--- FAIL: "+name)):
		t.Errorf("it has survived %s: %v\n%s", name, err, tail(string(out), 2000))
	}
}

// overlayOf applies a patch to copies of the files, and returns the list of them for the compiler.
func overlayOf(t *testing.T, patch []byte) (list string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, match := range plantedFile.FindAllSubmatch(patch, -1) {
		name := filepath.FromSlash(string(match[1]))
		source, err := filepath.Abs(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		replace[source] = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(replace[source]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(replace[source], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := exec.Command("git", "apply", "-")
	git.Dir, git.Stdin = dir, bytes.NewReader(patch)
	git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir)) // It is in no repository.
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("the patch does not apply any more: %v\n%s", err, out)
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
