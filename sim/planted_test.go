package sim_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A planted bug is a patch in the directory planted: a few lines of head that say what it is, and a
// diff of at most maxChangedLines lines. It is applied to copies, which the compiler takes in place of
// the sources (-overlay): there is nothing in the product for it. What catches it is the ordinary
// test of ordinary seeds, which are fresh each time, or another net that its head names.
//
// Beside the bugs there are legal behaviours that look like bugs, in patches of the same form. They
// must raise nothing: a net that catches everything is as blind as one that catches nothing.

var (
	planted       = flag.String("planted", "", "plant this many bugs chosen at random; or all, bugs, or those of these classes and names, with commas between")
	times         = flag.Int("planted.times", 1, "how often to plant each")
	most          = flag.Int("planted.seeds", 3000, "after how many seeds a planted bug has survived")
	legal         = flag.Int("planted.legal", 300, "in how many seeds a legal behaviour must raise nothing")
	jobs          = flag.Int("planted.jobs", runtime.GOMAXPROCS(0), "how many to plant side by side")
	shrunk        = flag.String("planted.shrink", "", "shrink what catches a planted bug, and write the script into this directory; that counts as CPU, too")
	inNet         = flag.String("planted.net", "", "wal: what is wrong in the log alone must be caught by its crash enumerator, which is no weaker than the simulator where both can see; raft: what is wrong in the core alone, by the exploration, which does not see all of it")
	plantedLedger = flag.String("planted.ledger", "", "file to which each outcome is appended, as a line of JSON")
)

// maxKillSeconds is how much CPU may be spent until a bug is caught. Building it does not count.
const maxKillSeconds = 300

func TestPlantedBugs(t *testing.T) {
	all := readPlants(t)
	if *planted == "" { // they must be ready to be planted
		for _, p := range all {
			t.Run(p.name, func(t *testing.T) {
				if _, err := p.overlay(t.TempDir()); err != nil {
					t.Error(err)
				}
			})
		}
		return
	}
	if *inNet != "" {
		all = slices.DeleteFunc(all, func(p *plant) bool { return !p.isIn(*inNet+"/") || p.isLegal() })
	}
	outcomes := plantAll(t, choosePlants(t, all))
	for i := range outcomes {
		o := &outcomes[i]
		switch {
		case o.Legal && o.Caught:
			t.Errorf("%s is legal, and %s says: %s", o.Bug, o.Check, o.Text)
		case !o.Legal && !o.Caught:
			t.Errorf("%s SURVIVED: %s", o.Bug, o.Text)
		case !o.Legal && o.CPUSeconds > maxKillSeconds:
			t.Errorf("%s took %.0f s of CPU, at most %d are allowed", o.Bug, o.CPUSeconds, maxKillSeconds)
		}
	}
	t.Logf("\n%s", matrix(outcomes))
}

// choosePlants chooses as the flag says.
func choosePlants(t *testing.T, all []*plant) []*plant {
	t.Helper()
	wanted := strings.Split(*planted, ",")
	chosen := slices.DeleteFunc(slices.Clone(all), func(p *plant) bool {
		return !slices.Contains(wanted, "all") && !slices.Contains(wanted, p.name) && !slices.Contains(wanted, p.head["Class"]) &&
			(p.isLegal() || !slices.Contains(wanted, "bugs"))
	})
	if n, err := strconv.Atoi(*planted); err == nil {
		chosen = slices.DeleteFunc(slices.Clone(all), (*plant).isLegal)
		rand.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:min(n, len(chosen))]
	}
	if len(chosen) == 0 {
		t.Fatalf("there is no planted bug %q, and no class of them", *planted)
	}
	return chosen
}

// plantAll plants each as often as the flag says, some side by side, and returns what became of them.
// It tells at once, so that a long run shows how far it is.
func plantAll(t *testing.T, chosen []*plant) []outcome {
	t.Helper()
	var (
		queue    = make(chan *plant)
		running  sync.WaitGroup
		mu       sync.Mutex // guards outcomes
		outcomes []outcome
		dir      = t.TempDir()
	)
	for range min(*jobs, len(chosen)) {
		running.Go(func() {
			for p := range queue {
				results, err := p.plantAndRun(filepath.Join(dir, p.name))
				mu.Lock()
				outcomes = append(outcomes, results...)
				for i := range results {
					t.Log(&results[i])
				}
				if err != nil {
					t.Errorf("%s: %v", p.name, err)
				}
				if err := appendLedger(*plantedLedger, results); err != nil {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range chosen {
		queue <- p
	}
	close(queue)
	running.Wait()
	return outcomes
}

// readPlants reads all patches.
func readPlants(t *testing.T) []*plant {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("planted", "*.patch"))
	if err != nil || len(names) < 16 {
		t.Fatalf("%d patches: %v", len(names), err)
	}
	var all []*plant
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePlant(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.name = strings.TrimSuffix(filepath.Base(name), ".patch")
		all = append(all, p)
	}
	return all
}

// checkLine is a check and what it says, in a package's documentation.
var checkLine = regexp.MustCompile(`(?m)^//\t([A-Z]\d+)  `)

// TestEveryCheckHasAPlantedBug fails for a check of which nobody knows whether it can fail.
func TestEveryCheckHasAPlantedBug(t *testing.T) {
	var caught []string
	for _, p := range readPlants(t) {
		caught = append(caught, strings.Split(p.head["Caught by"], ", ")...)
	}
	checks := 0
	for _, doc := range []string{"../check/doc.go", "doc.go"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range checkLine.FindAllStringSubmatch(string(text), -1) {
			checks++
			if m[1] != "T1" && !slices.Contains(caught, m[1]) { // that is whatever a test wants it to be
				t.Errorf("%s has check %s, which no planted bug is caught by", doc, m[1])
			}
		}
	}
	if checks < 20 {
		t.Errorf("found %d checks only", checks)
	}
}

// TestCatalogueNamesEveryPlantedBug holds planted/README.md against the directory.
func TestCatalogueNamesEveryPlantedBug(t *testing.T) {
	text, err := os.ReadFile("planted/README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	for _, p := range readPlants(t) {
		if !named[p.name] {
			t.Errorf("the catalogue does not name %s", p.name)
		}
		delete(named, p.name)
	}
	for name := range named {
		t.Errorf("the catalogue names %s, which is not there", name)
	}
}
