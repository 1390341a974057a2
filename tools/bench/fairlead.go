package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/relay"
)

// plan says how a fairlead is started.
type plan struct {
	name string
	// protected leaves the limits on rates as they are by default. Without it the
	// link may bring any number of messages.
	protected bool
	// others are links that are served beside d0.
	others []string
	// under is a command that the program runs under, such as strace.
	under []string
}

// configuration has filters strict, loop drop, and room for any number of
// delegations on the one link. It logs no grants: what the others say about what
// they do goes nowhere either.
func (p plan) configuration(state string) string {
	rates := ""
	if !p.protected {
		rates = unlimited
	}
	var links strings.Builder
	for _, link := range append([]string{"d0"}, p.others...) {
		fmt.Fprintf(&links, "    - match: %s\n", link)
	}
	return fmt.Sprintf(`state: %s
log:
  level: warn
peers:
  - name: server
    address: %s
    local: %s
    role: server
    interfaces: [u0]
    protection: none
relay6:
  defaults:
    filter: strict
    loop-drop: drop
    limits:
      link: 10000000
%s  links:
%s`, state, serverAddress, relayAddress, rates, links.String())
}

// unlimited are the keys that take the limits on rates away.
const unlimited = `    rate:
      link: unlimited
      source: unlimited
      newcomers: unlimited
`

// prepareFairlead makes a fairlead that is not started yet. Its store is on the
// file system of the bench's folder.
func (b *bench) prepareFairlead(r *rig, p plan) (*relay.Relay, error) {
	state := b.state(r, p.name)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	wrapper := state + ".sh"
	under := strings.Join(pinned(relayCore, p.under...), " ")
	text := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", under, b.fairlead)
	if err := os.WriteFile(wrapper, []byte(text), 0o755); err != nil {
		return nil, err
	}
	return relay.New(r.relay, relay.Config{Binary: wrapper, Name: p.name, Text: p.configuration(state)})
}

// state is the folder of a fairlead's store.
func (b *bench) state(r *rig, name string) string {
	return filepath.Join(b.dir, r.relay.Namespace, name)
}

// startFairlead starts a fairlead and waits until it is ready.
func (b *bench) startFairlead(r *rig, p plan) (*relay.Relay, error) {
	f, err := b.prepareFairlead(r, p)
	if err != nil {
		return nil, err
	}
	if err := f.Start(); err != nil {
		return nil, err
	}
	r.pid = f.Proc().Pid()
	return f, nil
}

// fill has that many clients get a delegation, from number 0 on, and looks
// whether all are in the kernel.
func (b *bench) fill(r *rig, clients int) error {
	_, err := r.play(b, load{clients: clients, prepare: clients, mix: "solicit=1", window: 1, count: 1})
	if err != nil {
		return err
	}
	routes, err := r.routes()
	if err == nil && routes != clients {
		err = fmt.Errorf("fill: %d routes of %d clients are in the kernel", routes, clients)
	}
	return err
}

// routes counts what fairlead has put into the main table.
func (r *rig) routes() (int, error) {
	out, err := r.relay.IP("-6 route show proto 87")
	return strings.Count(out, "\n"), err
}

// elements counts the prefixes of 56 bits that fairlead's filter lets through:
// from one link-layer address each (strict), and from anywhere on the link, which
// is what becomes of a delegation to an address that was not known.
func (r *rig) elements() (strict, loose int, err error) {
	out, err := r.relay.Run("nft", "-j", "list", "table", "inet", "fairlead")
	if err != nil {
		return 0, 0, err
	}
	var table struct {
		Objects []struct {
			Set *struct {
				Name string            `json:"name"`
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		return 0, 0, fmt.Errorf("nft: %w", err)
	}
	for _, o := range table.Objects {
		switch {
		case o.Set == nil:
		case o.Set.Name == "source-strict-56":
			strict = len(o.Set.Elem)
		case o.Set.Name == "source-link-56":
			loose = len(o.Set.Elem)
		}
	}
	return strict, loose, nil
}

// fileSystem is the kind of file system that a folder is on, and whether it
// keeps anything when the power goes.
func fileSystem(dir string) (name string, real bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", false, fmt.Errorf("store: %s: %w", dir, err)
	}
	switch s.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "memory", false, nil
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", true, nil
	case unix.XFS_SUPER_MAGIC:
		return "xfs", true, nil
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", true, nil
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", true, nil
	}
	return fmt.Sprintf("type %#x", s.Type), true, nil
}
