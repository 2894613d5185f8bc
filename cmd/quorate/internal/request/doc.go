// Package request turns words, as typed on a command line or in a transaction, into requests.
//
// What: the flags of put, get and del, which a transaction takes line by line as the commands take
// them; the text of a transaction; and how a line becomes words. It sends nothing and prints
// nothing but prompts.
//
// Units: revisions are those of the store, lease ids are hexadecimal, a limit counts keys.
//
// Shape:
//
//	Put, Get, Del   flags; Op makes a clientv3.Op of them and the words that are no flags
//	ParseTxn        text ──words──> compares, Puts, Gets, Dels ──> Txn
//
// The text of a transaction is etcdctl's: three sections, each ended by an empty line or by the end.
//
//	mod("key1") > "0"            compares: all must hold
//
//	put key1 "overwrote-key1"    requests if they do
//
//	put key1 "created-key1"      requests if they do not
//	put key2 'some extra key'
//
// Errors: a Mistake says what was typed wrongly, and nothing has happened then. Other errors are those of
// reading the input.
//
// Concurrency: the types are plain values without locks.
//
// Source: the flags and the text follow etcdctl, so that habits and scripts carry over.
package request
