package nft_test

import (
	"strings"
	"testing"

	"fairlead/internal/host/nft"
)

// A mark outlives the process and the mending of the table; a flush takes it away.
func TestMark(t *testing.T) {
	n := newNode(t)
	open := func() (table *nft.Table) {
		t.Helper()
		var err error
		if n.do(func() { table, err = nft.Open(nft.Options{}) }); err != nil {
			t.Fatal(err)
		}
		return table
	}
	want := func(table *nft.Table, there bool, mark string) {
		t.Helper()
		if gotThere, got := table.Found(); gotThere != there || got != mark {
			t.Errorf("found %v, %q, want %v, %q", gotThere, got, there, mark)
		}
	}
	set := func(table *nft.Table, mark string) {
		t.Helper()
		if err := table.SetMark(mark); err != nil {
			t.Fatal(err)
		}
	}
	again := func(table *nft.Table) *nft.Table {
		t.Helper()
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		return open()
	}
	table := open()
	want(table, false, "")
	table = again(table)
	want(table, true, "")
	set(table, "aa")
	set(table, "aa")
	table = again(table)
	want(table, true, "aa")
	set(table, "bb")
	if chains := n.run("nft list chains"); strings.Count(chains, "store-") != 1 || !strings.Contains(chains, "store-bb") {
		t.Errorf("chains %s", chains)
	}
	n.run("nft flush ruleset")
	if mended, err := table.Mend(); !mended || err != nil {
		t.Errorf("mended: %v, %v", mended, err)
	}
	table = again(table)
	want(table, true, "bb")
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	n.run("nft flush ruleset")
	table = open()
	want(table, false, "")
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
}
