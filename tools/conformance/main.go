// Command conformance writes docs/conformance.md: every requirement of RFC 8987, every sentence
// of RFC 8415 section 19 and of the RFCs of DHCPv4 that requires something of a relay agent, of
// RFC 8415 that requires something of a server, and of RFC 8213 that requires something of the
// protection between relays and servers. Beside each stand the tests that show it.
//
// A test shows a row in one of two ways. By its name: TestRFC8987_G2_SeveralPrefixes
// shows G-2, TestRFC8415_19_1_1d_InterfaceID shows 19.1.1d, TestRFC8213_3i_OnlyESP
// shows 3i, and TestR3Strict, in a folder of the host floor, shows R-3. Or by its doc
// comment, which names the rows in full: "RFC 8987 G-1, G-2 and R-1." or
// "RFC 8213 3d and 3i.".
//
// A test counts as one against the kernel if it is under internal/system, internal/vm,
// internal/host/nft, internal/host/netlink, internal/host/udp or internal/host/ipsec and its name
// contains neither Fake nor Scripted. All other tests are of the cores alone.
//
// With -check it writes nothing. Then the file must be the same as what would be written, every
// test that it names must have run and passed in the last run of all layers (build/test/*.json,
// events of go test -json), and no test of RFC 8987 may have been skipped.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const document = "docs/conformance.md"

func main() {
	check := flag.Bool("check", false, "compare with what is there, and with the last run of the tests")
	root := flag.String("root", ".", "the tree")
	results := flag.String("results", "build/test/*.json", "events of go test -json: a glob, from the root")
	flag.Parse()
	if err := run(*root, *results, *check); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(root, results string, check bool) error {
	found, err := scan(root)
	if err != nil {
		return err
	}
	text, lines := render(found)
	for _, l := range lines {
		fmt.Println(l)
	}
	path := filepath.Join(root, document)
	if !check {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	if err := compare(path, text); err != nil {
		return err
	}
	return verify(found, filepath.Join(root, results))
}

// compare returns an error if the document is not what would be written.
func compare(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("document: %w", err)
	}
	if string(old) != text {
		return fmt.Errorf("%s is not what the tests say: run make conformance and look at the difference", path)
	}
	return nil
}
