package wire_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// A put of a small value is a command of about this size.
const benchPayloadBytes = 300

func benchRecord() *wire.Record {
	return &wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 1, Term: 1, Payload: make([]byte, benchPayloadBytes)}
}

func BenchmarkAppendRecord(b *testing.B) {
	r := benchRecord()
	var buffer []byte
	b.SetBytes(int64(wire.Size(benchPayloadBytes)))
	b.ReportAllocs()
	for b.Loop() {
		buffer = wire.AppendRecord(buffer[:0], r)
	}
}

// Sealing is what a leader does with each entry: hash, and both checksums.
func BenchmarkSealRecord(b *testing.B) {
	record := wire.AppendRecord(nil, benchRecord())
	header := wire.Record{Kind: wire.RecordCommand, Group: 1, Index: 1, Term: 1}
	var previous wire.Hash
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		previous = wire.SealRecord(record, benchPayloadBytes, header, previous)
	}
}

func BenchmarkEntryHash(b *testing.B) {
	r := benchRecord()
	var previous wire.Hash
	b.SetBytes(benchPayloadBytes)
	b.ReportAllocs()
	for b.Loop() {
		previous = wire.EntryHash(previous, r)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	record := wire.AppendRecord(nil, benchRecord())
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := wire.DecodeRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeMessageOf64Entries(b *testing.B) {
	const entries = 64
	var records []byte
	for i := range raft.Index(entries) {
		r := benchRecord()
		r.Index = i + 1
		records = wire.AppendRecord(records, r)
	}
	message := wire.AppendMessage(nil, &wire.Message{Group: 1, Term: 1, Body: &raft.AppendEntries{Last: entries}}, records)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeMessage(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessageOf64Entries(b *testing.B) {
	records := slices.Repeat([][]byte{wire.AppendRecord(nil, benchRecord())}, 64)
	m := &wire.Message{Group: 1, Term: 1, Body: &raft.AppendEntries{Last: 64}}
	b.ReportAllocs()
	for b.Loop() {
		wire.AppendMessage(nil, m, records...)
	}
}

func BenchmarkDecodeForwardOf64Commands(b *testing.B) {
	forward := &wire.Forward{Boot: 1, Batch: 1}
	for range 64 {
		command := *sampleCommand()
		command.Request = make([]byte, benchPayloadBytes)
		forward.Commands = append(forward.Commands, wire.AppendCommand(nil, &command))
	}
	message := wire.AppendMessage(nil, &wire.Message{Group: 1, Term: 1, Body: forward})
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeMessage(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCommand(b *testing.B) {
	command := wire.AppendCommand(nil, sampleCommand())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeCommand(command); err != nil {
			b.Fatal(err)
		}
	}
}
