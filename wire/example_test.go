package wire_test

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// A command on its way: the leader seals it into a record, and sends the record's very bytes.
func Example() {
	const group = 7
	before := wire.GenesisHash(42, group)

	command := wire.AppendCommand(nil, &wire.Command{Kind: 1, Request: []byte("put a = 1")})
	record := make([]byte, wire.Size(len(command)))
	copy(record[wire.RecordHeaderBytes:], command)
	wire.SetCommandTime(record[wire.RecordHeaderBytes:], 1_000_000)
	wire.SealRecord(record, len(command), wire.Record{Kind: wire.RecordCommand, Group: group, Index: 1, Term: 3}, before)

	message := wire.AppendMessage(nil, &wire.Message{Group: group, Term: 3, Body: &raft.AppendEntries{Round: 1}}, record)

	received, err := wire.DecodeMessage(message)
	if err != nil {
		fmt.Println(err)
		return
	}
	entry := wire.Raw(received.Body.(*raft.AppendEntries).Entries[0].Data)
	got, err := wire.DecodeCommand(entry.Payload())
	fmt.Println(entry.Index(), entry.Term(), entry.Follows(before, group), got.Time, string(got.Request), err)
	// Output: 1 3 true 1000000 put a = 1 <nil>
}
