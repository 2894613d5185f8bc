package main

import (
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func putCommand(w *world) *cobra.Command {
	var client clientFlags
	var put request.Put
	cmd := &cobra.Command{
		Use:     "put KEY [VALUE]",
		GroupID: groupKeys,
		Short:   "Store a value under a key",
		Long: `Stores a value under a key. Without a value on the command line, all of standard input is the value.
What begins with a dash goes behind --, so that it is not taken for a flag.`,
		Example: `  quorate put fruit/apple red
  quorate put fruit/apple green --prev-kv
  quorate put config < config.yaml
  quorate put -- -5 minus-five`,
		RunE: func(cmd *cobra.Command, words []string) error {
			op, err := put.Op(words, w.in)
			if err != nil {
				return explainRequest(err)
			}
			return client.do(cmd, w, op, explainWrite, func(p *show.Printer, answer clientv3.OpResponse) error {
				return p.Put((*pb.PutResponse)(answer.Put()))
			})
		},
	}
	put.AddFlags(cmd)
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}
