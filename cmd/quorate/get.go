package main

import (
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func getCommand(w *world) *cobra.Command {
	var client clientFlags
	var get request.Get
	valueOnly := false
	cmd := &cobra.Command{
		Use:     "get KEY [RANGE_END]",
		GroupID: groupKeys,
		Short:   "Read a key, or many",
		Long: `Reads a key; or with RANGE_END all keys from KEY up to but without RANGE_END, in the order of bytes. A key
and its value are printed in a line each. A key that is not there prints nothing, and is no failure.

The answer is never stale, whichever server is asked. --consistency s asks for what that server happens to
have, which is cheaper and may be old.`,
		Example: `  quorate get fruit/apple
  quorate get fruit/apple --print-value-only
  quorate get --prefix fruit/ --keys-only
  quorate get --prefix "" --count-only          # how many keys there are
  quorate get --prefix fruit/ --sort-by MODIFY --order DESCEND --limit 1
  quorate get fruit/apple --rev 7 -w json`,
		RunE: func(cmd *cobra.Command, words []string) error {
			op, err := get.Op(words)
			if err != nil {
				return explainRequest(err)
			}
			return client.do(cmd, w, op, explainRead, func(p *show.Printer, answer clientv3.OpResponse) error {
				p.ValueOnly = valueOnly
				return p.Range((*pb.RangeResponse)(answer.Get()), get.CountOnly)
			})
		},
	}
	get.AddFlags(cmd)
	cmd.Flags().BoolVar(&valueOnly, "print-value-only", false, "leave out the keys in the format simple")
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}
