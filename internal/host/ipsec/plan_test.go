package ipsec_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
)

// planned are hops of each kind with IKE, between the hosts of a rig.
func planned(t *testing.T) []hop.Hop {
	t.Helper()
	ours, theirs := authority(t, "ours"), authority(t, "theirs")
	mine := issue(t, ours, ike.Request{Name: "a", Addresses: []netip.Addr{six.Local}, Names: []string{"relay.example.net"}})
	public := certified(mine, theirs)
	public.Name, public.Remote = "by.certificate", netip.MustParseAddr("2001:db8::3")
	public.IKE.LocalID, public.IKE.RemoteID = "relay.example.net", `C=DE, O=Example "two", CN=dhcp #1`
	public.IKE.Authorities = append(public.IKE.Authorities, ours.Certificate.Raw)
	public.IKE.ESP, public.IKE.Proposals = []string{"aes256-sha512", "chacha20poly1305"}, []string{"aes256-sha256-modp2048"}
	relayPort := six
	relayPort.RelayPort = 1547
	scoped := turned(keyed("ldra", "fe80::2", "fe80::1", "a key for one link"))
	scoped.Link = "a0"
	return []hop.Hop{relayPort, four, public, scoped}
}

// everything is what a charon tells of its connections, by their names, and what it has put into
// the kernel for them.
func everything(t *testing.T, c *ike.Charon) map[string]string {
	t.Helper()
	v, err := vici.NewSession(vici.WithAddr("unix", c.Socket))
	need(t, err)
	defer v.Close()
	all := make(map[string]string)
	for _, of := range [][2]string{{"list-conns", "list-conn"}, {"list-policies", "list-policy"}} {
		in := vici.NewMessage()
		need(t, in.Set("trap", "yes"))
		for m, err := range v.CallStreaming(t.Context(), of[0], of[1], in) {
			need(t, err)
			for _, name := range m.Keys() {
				if part, is := m.Get(name).(*vici.Message); is {
					all[of[1]+" "+name] = part.String()
				}
			}
		}
	}
	return all
}

// strongSwan is told what the plan prints: given to swanctl unchanged, with the certificates that
// it names, the plan makes the same connections, credentials and policies as Load does.
func TestPlanIsWhatIsLoaded(t *testing.T) {
	r := newRig(t)
	_, err := r.a.Node.IP("addr add fe80::1/64 dev a0 nodad")
	need(t, err)
	hops := planned(t)
	for folder, files := range map[string]map[string][]byte{
		"x509":    {"fairlead-relay-by~certificate.crt": hops[2].IKE.Certificate},
		"x509ca":  {"fairlead-relay-by~certificate-ca1.crt": hops[2].IKE.Authorities[0], "fairlead-relay-by~certificate-ca2.crt": hops[2].IKE.Authorities[1]},
		"private": {"fairlead-relay-by~certificate.key": hops[2].IKE.Key},
	} {
		need(t, os.MkdirAll(filepath.Join(r.a.Dir, folder), 0o700))
		for name, der := range files {
			need(t, os.WriteFile(filepath.Join(r.a.Dir, folder, name), der, 0o600))
		}
	}
	before := policies(t, r.a.Node)
	need(t, r.a.Load(hop.StrongswanText(hop.OwnerRelay, hops)))
	plan, planPolicies := everything(t, r.a), unnumbered(policies(t, r.a.Node))
	shared, private := sharedKeys(t, r.a), ask(t, r.a, "get-keys", "keys")
	if len(plan) != 4+9 || len(planPolicies) != 2*9 || len(shared) != 3 || len(private) != 1 {
		t.Errorf("the plan makes %d connections and policies, %q, %q and %q", len(plan), planPolicies, shared, private)
	}
	for i, name := range shared {
		shared[i] = strings.TrimPrefix(name, "ike-") // the names of swanctl's sections begin with this
	}

	need(t, os.RemoveAll(filepath.Join(r.a.Dir, "private")))
	need(t, r.a.Load(""))
	if left := everything(t, r.a); len(left) > 0 || !slices.Equal(policies(t, r.a.Node), before) {
		t.Fatalf("of the plan there is left %v", left)
	}
	need(t, r.s.Load(t.Context(), hops))
	loaded := everything(t, r.a)
	for name, text := range plan {
		if loaded[name] != text {
			t.Errorf("%s by the plan:\n%s\nand loaded:\n%s", name, text, loaded[name])
		}
	}
	if len(loaded) != len(plan) {
		t.Errorf("loaded are %d parts, planned %d", len(loaded), len(plan))
	}
	if got := unnumbered(policies(t, r.a.Node)); !slices.Equal(got, planPolicies) {
		t.Errorf("policies by the plan:\n%s\nand loaded:\n%s", strings.Join(planPolicies, "\n"), strings.Join(got, "\n"))
	}
	got := slices.DeleteFunc(sharedKeys(t, r.a), func(n string) bool { return strings.Contains(n, "~key~") || strings.Contains(n, "~made~") })
	if !slices.Equal(got, shared) || !slices.Equal(ask(t, r.a, "get-keys", "keys"), private) {
		t.Errorf("keys by the plan %q and %q, and loaded %q and %q", shared, private, got, ask(t, r.a, "get-keys", "keys"))
	}
}

var reqid = regexp.MustCompile(`reqid \d+`)

// unnumbered are policies without the numbers that strongSwan counts up, and without those of its
// own sockets.
func unnumbered(policies []string) []string {
	policies = slices.DeleteFunc(policies, func(p string) bool { return !strings.Contains(p, " dir ") })
	for i := range policies {
		policies[i] = reqid.ReplaceAllString(policies[i], "reqid N")
	}
	slices.Sort(policies)
	return policies
}

var hiddenKey = regexp.MustCompile(`<key of \d+ octets>`)

// batch is the plan of hops with manual keys, with the keys, as "ip -batch" reads it.
func batch(hops []hop.Hop) string {
	var keys []hop.Secret
	for i := range hops {
		for _, a := range hop.OwnerRelay.Associations(&hops[i]) {
			keys = append(keys, a.Encryption.Key, a.Integrity.Key)
		}
	}
	text := hiddenKey.ReplaceAllStringFunc(hop.XfrmText(hop.OwnerRelay, hops), func(string) string {
		key := keys[0]
		keys = keys[1:]
		return fmt.Sprintf("0x%x", []byte(key))
	})
	var commands []string
	for line := range strings.Lines(text) {
		commands = append(commands, strings.TrimPrefix(line, "ip "))
	}
	return strings.Join(commands, "")
}

// byHand are hops of each kind with manual keys.
func byHand() []hop.Hop {
	v6 := manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001, 0x2002)
	v6.RelayPort = 5470
	v4 := manual("four", "192.0.2.1", "192.0.2.2", 0xff001001, 0xff002001)
	v4.Manual.Out = manualSA(0x1002, hop.AES256SHA512)
	scoped := manual("ldra", "fe80::1", "fe80::2", 0x1001, 0x3001)
	scoped.Link = "lan0"
	return []hop.Hop{v6, v4, scoped}
}

// The plan's commands for policies make the policies that are installed.
func TestPlanOfPolicies(t *testing.T) {
	d := loneNode(t)
	_, err := d.IP("link add lan0 type veth peer name lan1")
	need(t, err)
	k := openKernel(t, d, hop.OwnerRelay)
	install(t, k, byHand()...)
	want := policies(t, d)
	need(t, k.Remove())
	wantPolicies(t, d)
	feed(t, d, batch(byHand()), "xfrm policy")
	wantPolicies(t, d, want...)
	if len(want) != 14 {
		t.Errorf("policies are %q", want)
	}
}

// feed gives ip the lines of a batch that begin with prefix.
func feed(t *testing.T, d *lab.Node, batch, prefix string) {
	t.Helper()
	var text string
	for line := range strings.Lines(batch) {
		if strings.HasPrefix(line, prefix) {
			text += line
		}
	}
	out, err := d.Feed(text, "ip", "-batch", "-")
	if err != nil {
		t.Fatalf("%v\n%s\nof\n%s", err, out, text)
	}
}
