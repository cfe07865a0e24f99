// Judges a log by golang.org/x/mod/sumdb, the code that Go's own clients use for sum.golang.org. Reads JSON, prints what does not hold.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proof struct {
	Index, Size   int64
	First, Second int64
	Leaf          []byte
	Root          tlog.Hash
	FirstRoot     tlog.Hash
	Proof         []tlog.Hash
}

func main() {
	var given struct {
		Key         string
		Note        string
		Inclusion   []proof
		Consistency []proof
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	verifier, err := note.NewVerifier(given.Key)
	if err != nil {
		fmt.Println("key:", err)
		return
	}
	opened, err := note.Open([]byte(given.Note), note.VerifierList(verifier))
	if err != nil {
		fmt.Println("note:", err)
		return
	}
	var origin, root string
	var size int64
	if n, err := fmt.Fscanf(bytes.NewBufferString(opened.Text), "%s\n%d\n%s\n", &origin, &size, &root); n != 3 {
		fmt.Println("checkpoint:", err)
		return
	}
	for _, p := range given.Inclusion {
		if p.Size == size && p.Root.String() != root {
			fmt.Println("root of", p.Size, "is not the checkpoint's")
		}
		if err := tlog.CheckRecord(p.Proof, p.Size, p.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
			fmt.Println("inclusion", p.Index, p.Size, err)
		}
	}
	for _, p := range given.Consistency {
		if err := tlog.CheckTree(p.Proof, p.Second, p.Root, p.First, p.FirstRoot); err != nil {
			fmt.Println("consistency", p.First, p.Second, err)
		}
	}
	fmt.Println("judged", origin, size, len(given.Inclusion), len(given.Consistency))
}
