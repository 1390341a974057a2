package nft

import (
	"fmt"

	"fairlead/internal/core/hop"
)

// guardTable is one table of a guard, with what was installed in it.
type guardTable struct {
	session
	table *hop.GuardTable  // what was installed last; nil: nothing
	tally map[string]tally // by counter
	print print
	seen  uint32 // number of the rule set when the table was last found intact; 0: never
}

func openGuardTable(family byte, name string) (guardTable, error) {
	s, err := openSession(family, name)
	return guardTable{session: s, tally: map[string]tally{}}, err
}

// install makes the table what t says, whatever was in it.
func (k *guardTable) install(t *hop.GuardTable) error {
	if err := k.count(); err != nil {
		return err
	}
	if err := k.bringAbout(t); err != nil {
		return err
	}
	p, err := k.look(t)
	if err != nil {
		return err
	}
	if !p.matches(t) {
		return fmt.Errorf("nft: table %s: changed by somebody else while it was made", k.name)
	}
	k.table, k.print, k.seen = t, p, 0
	return nil
}

// intact compares the table with what was installed. It reads nothing if nftables has not changed
// at all since the table was last intact.
func (k *guardTable) intact() (bool, error) {
	number, err := k.generation()
	if err != nil {
		return false, err
	}
	if k.seen != 0 && number == k.seen {
		return true, nil
	}
	p, err := k.look(k.table)
	if err != nil {
		return false, err
	}
	if p != k.print {
		k.seen = 0
		return false, nil
	}
	k.seen = number
	return true, nil
}

// remove removes the table if there is one.
func (k *guardTable) remove() error {
	k.table, k.seen = nil, 0
	there, err := k.there()
	if err != nil || !there {
		return err
	}
	x := k.begin()
	x.addTable() // in case there is none any more
	x.dropTable()
	return k.commit(x)
}
