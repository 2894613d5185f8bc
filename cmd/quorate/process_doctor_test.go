package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/doctor"
)

// command runs the program, and returns what it prints and its exit status.
func command(t *testing.T, arguments ...string) (out string, status int) {
	t.Helper()
	c := exec.Command(binary(t), arguments...)
	c.Env = withoutFlags(os.Environ())
	b, err := c.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}

func endpointsOf(servers []*serverProcess) string {
	addresses := make([]string, len(servers))
	for i, s := range servers {
		addresses[i] = s.clientAddress()
	}
	return strings.Join(addresses, ",")
}

// waitDoctor waits until doctor, asking those servers, ends with a status and has said all of what is wanted.
func waitDoctor(t *testing.T, what string, servers []*serverProcess, status int, wants ...string) {
	t.Helper()
	eventually(t, what, func() error {
		out, got := command(t, "doctor", "--endpoints", endpointsOf(servers))
		if got != status {
			return fmt.Errorf("exit status %d, want %d:\n%s", got, status, out)
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				return fmt.Errorf("%q is not in\n%s", want, out)
			}
		}
		return nil
	})
}

// waitIntroduced waits until each server knows where clients find the others.
func waitIntroduced(t *testing.T, servers []*serverProcess) {
	t.Helper()
	for _, s := range servers {
		eventually(t, s.name+" knows all", func() error {
			out, status := command(t, "doctor", "--cluster", "--endpoints", s.clientAddress())
			if want := fmt.Sprintf("All is well: %d of %[1]d answer; ", len(servers)); status != exitDone || !strings.HasPrefix(out, want) {
				return errors.New(out)
			}
			return nil
		})
	}
}

func TestProcessTheLastOfThreeSaysWhoIsMissing(t *testing.T) {
	servers := startServers(t, 3, quick...)
	waitDoctor(t, "all is well", servers, exitDone, "All is well: 3 of 3 answer; ", " leads, and reaches 3, needs 2 of 3.")
	waitIntroduced(t, servers)
	survivor, dead := servers[:1], servers[1:]
	for _, s := range dead {
		s.kill(t)
	}
	waitDoctor(t, "the survivor names both", survivor, exitFailed, "No progress: 1 of 1 answer",
		"no quorum: s1 reaches 1, needs 2 of 3; missing: ", "s2 (not linked since ", "s3 (not linked since ", "connection refused")
	waitDoctor(t, "doctor names who does not answer", servers, exitFailed, "No progress: 1 of 3 answer",
		"WARNS no-answer: s2 at "+dead[0].clientAddress()+" does not answer: connect: connection refused",
		"WARNS no-answer: s3 at "+dead[1].clientAddress()+" does not answer: connect: connection refused",
		"(no answer from there): 1 more needed.")
	if out, status := command(t, "status", "--endpoints", endpointsOf(survivor)); status != exitFailed || !strings.Contains(out, "no quorum: s1 reaches 1, needs 2 of 3") {
		t.Errorf("status: %d\n%s", status, out)
	}
	eventually(t, "it has lasted long enough to be in the log", func() error {
		out, _ := command(t, "doctor", "--output", "json", "--endpoints", endpointsOf(survivor))
		var d doctor.Diagnosis
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			return err
		}
		if f := d.Findings[0]; f.Code != doctor.NoQuorum || time.Since(f.Since) < 5*time.Second {
			return fmt.Errorf("%s since %v", f.Code, f.Since)
		}
		return nil
	})
	for _, s := range dead {
		s.start(t)
	}
	for _, s := range dead {
		s.waitServing(t)
	}
	waitDoctor(t, "all is well again", servers, exitDone, "All is well: 3 of 3 answer; ")
	status, said := survivor[0].terminate(t)
	if status != exitDone {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{
		"no progress is possible", "code=no-quorum", "reached=1 needed=2 voters=3", "s2 (not linked since", "s3 (not linked since",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("its log has no %q", want)
		}
	}
}
