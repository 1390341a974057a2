package nft_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/nft"
)

// A store id stays when the process ends, and when the table is mended. A flush removes it.
func TestStoreID(t *testing.T) {
	n := newNode(t)
	open := func() (table *nft.Table) {
		t.Helper()
		var err error
		if n.do(func() { table, err = nft.Open(nft.Options{}) }); err != nil {
			t.Fatal(err)
		}
		return table
	}
	want := func(table *nft.Table, there bool, storeID string) {
		t.Helper()
		if gotThere, got := table.Found(); gotThere != there || got != storeID {
			t.Errorf("found %v, %q, want %v, %q", gotThere, got, there, storeID)
		}
	}
	set := func(table *nft.Table, storeID string) {
		t.Helper()
		if err := table.SetStoreID(storeID); err != nil {
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

// A table is bare when it is new, and when it has replaced one of another layout. A table that
// has only a link that is checked is not bare.
func TestBare(t *testing.T) {
	n := newNode(t)
	onLink := hoststate.Element{Set: hoststate.SourceLink, Link: "c0", Prefix: netip.MustParsePrefix("2001:db8:1::/48")}
	checked := hoststate.Element{Set: hoststate.Checked, Link: "c0"}
	opened := func(what string, bare bool, then hoststate.Element) {
		t.Helper()
		var table *nft.Table
		var err error
		if n.do(func() { table, err = nft.Open(nft.Options{}) }); err != nil {
			t.Fatal(err)
		}
		got, at := table.Bare()
		now, err := table.Version()
		if got != bare || at != now || err != nil {
			t.Errorf("%s: bare %v at version %v, want %v at %v, %v", what, got, at, bare, now, err)
		}
		failed := func(_ int, err error) { t.Error(err) }
		if err := errors.Join(table.Apply([]hoststate.Op{{Element: &then}}, failed), table.Close()); err != nil {
			t.Fatal(err)
		}
	}
	opened("no table", true, checked)
	opened("a table with a checked link", false, onLink)
	opened("a table with a prefix", false, onLink)
	n.run("nft delete chain inet fairlead layout-3")
	opened("a table of another layout", true, onLink)
	opened("after that", false, onLink)
}
