package hoststate

import (
	"strconv"
	"testing"
)

// Interfaces whose names come and never come back, such as one for each session
// of a customer, do not make the filter grow for ever. What is delegated stays, and
// so do the gates of the names that went last.
func TestVacantNamesAreBounded(t *testing.T) {
	s, k := New(), newKernel()
	come := func(name string) {
		l := ppp
		l.Name = name
		follow(t, k, s.SetPolicy(s.SetLink(nil, &l), name, &filtered))
	}
	checked := func(name string) bool {
		_, filter := k.elements[Element{Set: Checked, Link: name}.String()]
		_, loop := k.elements[Element{Set: Hairpin, Link: name}.String()]
		if filter != loop {
			t.Errorf("%s: half of it is checked", name)
		}
		return filter
	}
	come("delegated")
	delegation := granted
	delegation.Link = "delegated"
	follow(t, k, s.Put(nil, delegation))
	come("back")
	for _, name := range []string{"delegated", "back"} {
		follow(t, k, s.RemoveLink(nil, name))
	}
	come("back")

	const over = 100
	name := func(i int) string { return "ppp" + strconv.Itoa(i) }
	for i := range maxVacant + over {
		come(name(i))
		follow(t, k, s.RemoveLink(nil, name(i)))
	}
	for i, want := range map[int]bool{0: false, over - 1: false, over: true, maxVacant + over - 1: true} {
		if got := checked(name(i)); got != want {
			t.Errorf("%s checked: %v, want %v", name(i), got, want)
		}
	}
	if !checked("delegated") || !checked("back") {
		t.Error("a link that is there, or has a delegation, is not checked")
	}
	if got, want := len(s.links), maxVacant+2; got != want {
		t.Errorf("%d names are known, want %d", got, want)
	}

	// The delegation's end makes its name the newest that is vacant; what is there is not.
	follow(t, k, s.Delete(nil, "delegated", delegation.Prefix))
	if !checked("delegated") || checked(name(over)) || !checked(name(over+1)) {
		t.Error("the end of a delegation on a link that is gone does not push the oldest name out")
	}
	follow(t, k, s.RemoveLink(nil, "back"))
	if !checked("back") || checked(name(over+1)) {
		t.Error("a name that came back and left does not push the oldest name out")
	}
	if got := s.vacant.Len(); got != maxVacant || len(s.links) != maxVacant {
		t.Errorf("%d names are vacant of %d, want %d of as many", got, len(s.links), maxVacant)
	}
}
