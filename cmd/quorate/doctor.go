package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/doctor"
)

func doctorCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: groupCluster,
		Short:   "Say what is wrong with a cluster, since when and why, and what to do",
		Long: `Asks each endpoint for its report, puts together what they say, and prints what is wrong, the worst first,
with what to do about it. Any server that lives can be asked: it answers without a leader and without a
majority, and says whom it reaches, how many it needs, and who is missing since when, with what error.
That an endpoint does not answer is a finding, too.

Of what STOPS, requests are not carried out; what WARNS leaves them to be carried out. -w simple prints a
line for each finding: how bad it is, its code, the server that it is about, and a sentence.

Exit status: 0 if all is well, 1 if anything is found, whatever it is, and 2 if the command line is wrong.
In JSON, "progress" is false if nothing is carried out at any server that answers.`,
		Example: `  quorate doctor --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
  quorate doctor --cluster                      # all servers that the first endpoint knows of
  quorate doctor --cluster --output json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printer, err := client.prepare(cmd, w, show.Table)
			if err != nil {
				return err
			}
			d := doctor.Combine(forEach(client.endpoints, func(endpoint string) doctor.Answer {
				return client.examine(cmd.Context(), endpoint)
			}))
			if err := printer.Diagnosis(d); err != nil {
				return failed(err)
			}
			if !d.Healthy {
				return &failure{exitFailed, nil} // The findings say it.
			}
			return nil
		},
	}
	client.add(cmd)
	client.addCluster(cmd)
	return cmd
}

// examine asks one server for its report, if it takes connections.
func (f *clientFlags) examine(ctx context.Context, endpoint string) doctor.Answer {
	answer := doctor.Answer{Endpoint: endpoint}
	var err error
	if answer.Report, err = f.report(ctx, endpoint); err != nil {
		answer.Error = f.silence(err).Error()
	}
	return answer
}

const (
	reportPath = "/quorate/status"
	// maxReportBytes bounds what is read of a report: it is far more than one of 256 servers has.
	maxReportBytes = 4 << 20
)

// report asks a server for its report.
func (f *clientFlags) report(ctx context.Context, endpoint string) (*doctor.Report, error) {
	b, err := f.page(ctx, endpoint, http.MethodGet, reportPath, maxReportBytes)
	if err != nil {
		return nil, err
	}
	report := new(doctor.Report)
	if err := json.Unmarshal(b, report); err != nil {
		return nil, fmt.Errorf("what it answers is no report: %w", err)
	}
	if report.Server == "" {
		return nil, errors.New("what it answers is no report: it does not say which server it is")
	}
	return report, nil
}
