package main

import (
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func delCommand(w *world) *cobra.Command {
	var client clientFlags
	var del request.Del
	cmd := &cobra.Command{
		Use:     "del KEY [RANGE_END]",
		GroupID: groupKeys,
		Short:   "Delete a key, or many, and print how many were there",
		Example: `  quorate del fruit/apple
  quorate del --prefix fruit/ --prev-kv
  quorate del --range fruit/a fruit/c           # from fruit/a up to but without fruit/c`,
		RunE: func(cmd *cobra.Command, words []string) error {
			op, err := del.Op(words)
			if err != nil {
				return explainRequest(err)
			}
			return client.do(cmd, w, op, explainWrite, func(p *show.Printer, answer clientv3.OpResponse) error {
				return p.Delete((*pb.DeleteRangeResponse)(answer.Del()))
			})
		},
	}
	del.AddFlags(cmd)
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}
