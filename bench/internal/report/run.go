package report

import "slices"

// Run is what one subject did under one load, once.
type Run struct {
	Case
	Round int `json:"round"` // from 1

	Seconds      float64 `json:"seconds"` // length of the window
	Ops          int64   `json:"ops"`     // answered well within the window
	P50Micros    float64 `json:"p50_us"`
	P99Micros    float64 `json:"p99_us"`
	Errors       int64   `json:"errors"` // warm-up and last answers included
	ErrorExample string  `json:"error_example,omitempty"`

	LeaderCPUSeconds    float64 `json:"leader_cpu_s"`    // user and system time within the window
	FollowersCPUSeconds float64 `json:"followers_cpu_s"` // both together
	ClientCPUSeconds    float64 `json:"client_cpu_s"`    // the load generator
	StealCPUs           float64 `json:"steal_cpus"`      // given to somebody else by the hypervisor
	OtherCPUs           float64 `json:"other_cpus"`      // used by other processes of this machine and the kernel's own

	AnonBytes int64 `json:"rss_anon_bytes"` // all servers, after the load
	FileBytes int64 `json:"rss_file_bytes"`

	// More are what this scenario measures besides, always in the same order.
	More []Figure `json:"more,omitempty"`
	// Samples are what this scenario measures many times in a run, always in the same order.
	Samples []Sample `json:"samples,omitempty"`

	LeaderMoved bool   `json:"leader_moved,omitempty"` // then leader and followers are mixed up
	Failure     string `json:"failure,omitempty"`      // why there are no figures; empty if there are
	Skipped     string `json:"skipped,omitempty"`      // why the subject was not asked; empty if it was
}

// Figure is one measure of a run that only some scenarios have.
type Figure struct {
	Name  string  `json:"name"` // with its unit
	Value float64 `json:"value"`
}

// Add adds a figure.
func (r *Run) Add(name string, value float64) { r.More = append(r.More, Figure{name, value}) }

// Sample is one measure that a run takes many times.
type Sample struct {
	Name   string    `json:"name"` // with its unit
	Values []float64 `json:"values"`
}

// AddSample adds a value to the sample of a name.
func (r *Run) AddSample(name string, value float64) {
	i := slices.IndexFunc(r.Samples, func(s Sample) bool { return s.Name == name })
	if i < 0 {
		i = len(r.Samples)
		r.Samples = append(r.Samples, Sample{Name: name})
	}
	r.Samples[i].Values = append(r.Samples[i].Values, value)
}

// AddMedians adds the median of each sample as a figure, which is compared round by round.
func (r *Run) AddMedians() {
	for _, s := range r.Samples {
		r.Add(s.Name+", median", Median(s.Values))
	}
}

// Case is what the rounds of a comparison repeat.
type Case struct {
	Scenario string `json:"scenario"`
	Clients  int    `json:"clients"`
	Target   string `json:"target"`
	Subject  string `json:"subject"`
}

// rate returns operations per second.
func (r *Run) rate() float64 { return float64(r.Ops) / r.Seconds }

// per100k returns seconds of CPU per 100,000 operations.
func (r *Run) per100k(cpuSeconds float64) float64 { return cpuSeconds / float64(r.Ops) * 100_000 }

// serversPer100k returns what leader and followers together used.
func (r *Run) serversPer100k() float64 { return r.per100k(r.LeaderCPUSeconds + r.FollowersCPUSeconds) }

// usable tells whether the run has figures. Without operations there is nothing to divide by.
func (r *Run) usable() bool { return r.Failure == "" && r.Skipped == "" && r.Ops > 0 && r.Seconds > 0 }
