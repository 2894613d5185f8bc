package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands bring about into the scripts")

// Everything that servers do is in the scripts, word for word.
func TestEveryScenarioEndsAsItsScriptSays(t *testing.T) {
	if *update {
		rewrite(t)
		return
	}
	for _, s := range List() {
		t.Run(s.Name, func(t *testing.T) {
			for m, err := range s.Play() {
				if err != nil {
					t.Fatal(err)
				}
				if !m.AsExpected() {
					t.Errorf("scripts/%s.txt:%d: %s\ngot:\n    %s\nwant:\n    %s", s.Name, m.Line, m.Command,
						strings.Join(m.Happened, "\n    "), strings.Join(m.Expected, "\n    "))
				}
			}
		})
	}
}

// rewrite writes the outcomes into the files.
func rewrite(t *testing.T) {
	for _, s := range List() {
		text, err := s.script.Rewrite(new(stage).Play)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := os.WriteFile(filepath.Join("scripts", s.Name+".txt"), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// promised are the scenarios that the project has promised by name, of those that its parts so far can
// play, and the claim that each is named for.
var promised = map[string]string{
	"election": "A1", "up-to-date-vote": "A2", "split-vote": "A4", "figure-8": "A8", "figure-7": "A12",
	"figure-7-origins": "A12", "uncommitted-lost": "A14", "partitioned-leader": "A17", "two-way-partition": "B3",
	"three-way-partition": "B4", "eight-servers": "B5", "majority-crash": "B6", "asymmetric-link": "B7",
	"rejoin-quietly": "B7", "one-put": "C1", "duplicate-request": "C4", "stale-read": "C7",
	"lagging-server": "D4", "bit-rot": "B9", "disk-full": "B9",
}

func TestTheCatalogueHasWhatWasPromised(t *testing.T) {
	for name, claim := range promised {
		s, found := Find(name)
		if !found || !slices.Contains(s.Claims, claim) {
			t.Errorf("no scenario %s shows claim %s", name, claim)
		}
	}
	if _, found := Find("figure-9"); found {
		t.Error("found a scenario that there is not")
	}
}

func TestTheListIsInTheOrderOfClaims(t *testing.T) {
	var order []string
	for _, s := range List() {
		order = append(order, s.Claims[0])
	}
	if !slices.IsSortedFunc(order, compareClaims) || compareClaims("A9", "A12") >= 0 || compareClaims("A12", "B1") >= 0 {
		t.Errorf("scenarios are in the order %v", order)
	}
}

const head = "# title: T\n# claims: A1, B12\n\n# An introduction.\n\n"

func TestAScenarioHasTitleClaimsAndIntroduction(t *testing.T) {
	s, err := Parse("x", head+"# First.\ngroup voters=1\n----\n")
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "T" || !slices.Equal(s.Claims, []string{"A1", "B12"}) || s.Introduction != "An introduction." {
		t.Errorf("got %+v", s)
	}
	for _, test := range []struct{ source, want string }{
		{"group voters=1\n----\n", "a scenario begins with"},
		{"# title: T\n# claims: A1\n\ngroup voters=1\n----\n", "an introduction"},
		{"# title: T\n\n# Introduction.\n\ngroup voters=1\n----\n", "a scenario begins with"},
		{"# claims: A1\n\n# Introduction.\n\ngroup voters=1\n----\n", "a scenario begins with"},
		{"# title: T\n# claims: all\n\n# Introduction.\n\ngroup voters=1\n----\n", `"all" is not the id of a claim`},
		{"# title: T\n# claim: A1\n\n# Introduction.\n\ngroup voters=1\n----\n", `not "claim: A1"`},
		{head + "group voters=1\n", "line 6: no ---- follows"},
	} {
		if _, err := Parse("x", test.source); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want one with %q", test.source, err, test.want)
		}
	}
}

func TestPlayingTellsWhatHappenedBesideWhatWasExpected(t *testing.T) {
	s, err := Parse("x", head+"# First.\ngroup voters=1\n----\n\n# Second.\n#\n# Still.\nlogs\n----\nnothing\n\nlogs 7\n----\n\nlogs\n----\n")
	if err != nil {
		t.Fatal(err)
	}
	var moments []Moment
	for m, playErr := range s.Play() {
		moments = append(moments, m)
		err = playErr
	}
	if err == nil || err.Error() != "x:17: logs: server 7 is none of the group's" {
		t.Errorf("got error %v", err)
	}
	if len(moments) != 3 {
		t.Fatalf("%d moments, want none after the error", len(moments))
	}
	m := moments[1]
	if m.Comment != "Second.\n\nStill." || m.Command != "logs" || m.Line != 13 || m.AsExpected() || !moments[0].AsExpected() ||
		!slices.Equal(m.Happened, []string{"1: follower, term 0, commit 0, log nothing"}) || !slices.Equal(m.Expected, []string{"nothing"}) {
		t.Errorf("got %+v", m)
	}
}

// whole is a server with a disk that leads, has put something and is idle.
const whole = "servers voters=1; campaign 1; propose 1 put:a:x; settle; "

// alone is a group of one server that leads and has a store.
const alone = "group voters=1; stores; campaign 1; "

// A command that makes no sense fails; it does not crash the player.
func TestCommandsThatMakeNoSenseFail(t *testing.T) {
	for _, test := range []struct{ commands, want string }{
		{"tick 1", "no group"},
		{"group voters=2; tick", "no server is named"},
		{"group voters=2; log terms=(1)", "one server is needed"},
		{"group voters=2; crash 1; tick 1", "server 1 is down"},
		{"group voters=2; restart 1", "server 1 is up"},
		{"group voters=2; write 1", "0 writes are under way"},
		{"group voters=2; deliver", "no such message is on its way"},
		{"group voters=2; cut 1-2", "is no link"},
		{"group voters=2; dance 1", "unknown command"},
		{"group voters=2; tick 1 time=3", "argument time is unknown"},
		{"group voters=1; campaign 1; silence 1", "server 1 leads"},
		{"group voters=2; expect leader=1", "server 0 leads in term 0, not 1"},
		{"group voters=1; campaign 1; expect leader=0", "server 1 leads in term 1, not 0"},
		{"group voters=1; campaign 1; propose 1 x; expect committed=y", `committed are ["x"], not ["y"]`},
		{"group voters=1; campaign 1; propose 1 x; expect lost=x", "server 1 has x at 2"},
		{"group voters=1; campaign 1; expect 1 terms=(1, 1)", "server 1 has entries of the terms [1], not [1 1]"},
		{"group voters=2; log 1 terms=(1); expect same", "server 2 has nothing, server 1 has 1:a/1"},
		{"group voters=2; log 1 terms=(1); expect 1 same", "server 1 has applied 0 of 1 entries"},
		{"group voters=1; compact", "no server is named"},
		{"group voters=1; compact 1", "server 1 has applied nothing that its log has"},
		{"group voters=2; install 1 2 from=1", "one server is needed"},
		{"group voters=2; install 1 from=2", "server 2 has no state that is ahead of that of server 1"},
		{"group voters=2; install 1 from=7", "server 7 has no state"},
		{"stores", "no group"},
		{"group voters=1; expect once=x", "no server has a store"},
		{"group voters=1; expect revision=1", "no server has a store"},
		{alone + "propose 1 x", "x is no request to a store"},
		{alone + "propose 1 2.1:put:x", "2.1:put:x is no request to a store"},
		{alone + "propose 1 put:a:x; expect once=put:a:x", "server 1 has applied put:a:x 1 times, and it took effect 1 times"},
		{alone + "propose 1 put:a:x put:b:x; propose 1 put:a:x; expect once=put:a:x", "server 1 answered a copy of put:a:x with"},
		{alone + "propose 1 2.1:put:a:x; propose 1 2.1:put:a:x; expect once=2.1:put:a:x", "2 times, and it took effect 0 times"},
		{alone + "propose 1 put:a:x; expect revision=3", "the store of server 1 is at revision 2, not 3"},
		{alone + "propose 1 put:a:x; log 1 terms=(1); expect revision=2", "no server has a store"},
		{alone + "propose 1 compact:x", "compact:x is no request"},
		{"servers voters=0", "from 1 to 9 servers can be on the stage"},
		{"servers voters=1 segment=1; campaign 1", "server 1 is down"},
		{"servers voters=2; tick", "no server is named"},
		{"servers voters=2; tick 3", "server 3 is none of the group's"},
		{"servers voters=2; dance 1", "unknown command"},
		{"servers voters=2; crash 1; tick 1", "server 1 is down"},
		{"servers voters=2; restart 1", "server 1 is up"},
		{"servers voters=2; flip 1 entry=1", "server 1 is up"},
		{"servers voters=2; crash 1; flip 1 entry=1", "there is no entry 1 to be damaged in the log of server 1"},
		{"servers voters=2; crash 1 tear=9", "server 1 is writing nothing"},
		{"servers voters=2; fill 1", "the disk of server 1 has no end"},
		{"servers voters=2 room=200000; fill 1 leave=200000", "the disk of server 1 has room for 68928 bytes only"},
		{"servers voters=2; free 1", "file does not exist"},
		{"servers voters=2; expect leader=1", "server 0 leads in term 0, not 1"},
		{"servers voters=2; expect 1", "what is expected?"},
		{"servers voters=2; expect down", "no server is named"},
		{"servers voters=2; expect 1 down", "server 1 is up"},
		{"servers voters=2; expect 1 waits", "nobody waits for an answer of server 1"},
		{"servers voters=2; expect 1 lost=1", "server 1 has lost the entries [], not [1]"},
		{"servers voters=2; expect answer=x to=y", "nobody has asked for y"},
		{"servers voters=2; crash 1 2; expect same", "no server is up"},
		{"servers voters=2; crash 1 2; expect executed=x", "no server is up"},
		{"servers voters=2; group voters=1; expect 1 last=1", "argument last is unknown"},
		{whole + "propose 1 x", "x is no request to a store"},
		{whole + "expect leader=0", "server 1 leads in term 1, not 0"},
		{whole + "expect committed=x", `committed are ["put:a:x"], not ["x"]`},
		{whole + "expect 1 last=1", "the log of server 1 ends with entry 2, not 1"},
		{whole + "crash 1; expect 1 last=2", "server 1 takes no part"},
		{whole + "crash 1; expect 1 same", "server 1 takes no part"},
		{whole + "expect refused=put:a:x", "server 1 has executed put:a:x"},
		{whole + "expect executed=put:a:y", "server 1 has not applied put:a:y"},
		{whole + "propose 1 nospace:1; propose 1 put:a:x; expect executed=put:a:x", "server 1 has refused put:a:x"},
		{whole + "expect answer=x to=put:a:x", `put:a:x was answered with "done, at revision 2", not "x"`},
		{"servers voters=2; campaign 1; settle; propose 1 put:a:x; expect same", "server 1 has applied 1 of 2 entries"},
	} {
		source := head
		for command := range strings.SplitSeq(test.commands, "; ") {
			source += command + "\n----\n\n"
		}
		s, err := Parse("x", source)
		if err != nil {
			t.Fatal(err)
		}
		for _, playErr := range s.Play() {
			err = playErr
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.commands, err, test.want)
		}
	}
}
