package main

import (
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

func txnCommand(w *world) *cobra.Command {
	var client clientFlags
	interactive := false
	cmd := &cobra.Command{
		Use:     "txn",
		GroupID: groupKeys,
		Short:   "Do several requests at once, if conditions hold",
		Long: `Reads a transaction from standard input: three sections, each ended by an empty line.

  conditions, all of which must hold   value("KEY") = "VALUE"; also mod, create, version, lease; = != < >
  requests if they do                  put, get and del, with the flags of the commands of their names
  requests if they do not

Words with blanks stand in quotes: double ones know escapes such as \n, single ones do not. At a terminal,
or with --interactive, each section is asked for.`,
		Example: `  quorate txn <<'TXN'
  value("fruit/apple") = "red"

  put fruit/apple green
  get --prefix fruit/

  get fruit/apple
  TXN`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var prompt func(string)
			if interactive || w.inTerminal {
				prompt = func(section string) { fmt.Fprintln(w.err, section) }
			}
			txn, err := request.ParseTxn(w.in, prompt)
			if err != nil {
				return explainRequest(err)
			}
			return client.do(cmd, w, clientv3.OpTxn(txn.If, txn.Then, txn.Else), explainWrite,
				func(p *show.Printer, answer clientv3.OpResponse) error {
					branch := txn.Else
					if answer.Txn().Succeeded {
						branch = txn.Then
					}
					counts := func(i int) bool { return i < len(branch) && branch[i].IsCountOnly() }
					return p.Txn((*pb.TxnResponse)(answer.Txn()), counts)
				})
		},
	}
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "ask for each section")
	client.add(cmd)
	client.addHex(cmd)
	return cmd
}
