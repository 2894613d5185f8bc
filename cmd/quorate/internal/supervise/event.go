package supervise

import "time"

// Event is something that happened to a child: Started, Died, GivenUp or Stopped.
type Event interface{ isEvent() }

// Started says that a child runs.
type Started struct {
	Name string
	PID  int
}

// Died says that a child ended by itself, and will be started again after Pause.
type Died struct {
	Name  string
	Death Death
	Pause time.Duration
}

// GivenUp says that a child ended by itself once too often; nothing more comes from it.
type GivenUp struct {
	Name   string
	Death  Death
	Deaths int // in a row, each soon after the start
}

// Stopped says that a child has ended as it was told; nothing more comes from it.
type Stopped struct {
	Name   string
	How    string // as in Death
	Killed bool   // it had not ended in time
}

// Death is how a child ended.
type Death struct {
	How       string        // "exit status 70", "signal: killed", or why it could not be started
	LastWords string        // the last line it printed, cut to a bound; may be empty
	Age       time.Duration // since it was started
}

func (Started) isEvent() {}
func (Died) isEvent()    {}
func (GivenUp) isEvent() {}
func (Stopped) isEvent() {}
