package ike

import (
	"fmt"
	"os"
	"path/filepath"

	"fairlead/internal/lab"
)

// Libreswan is the IKE daemon of other authors: pluto. Only the image "ipsec" of scripts/vm has
// it, because it cannot be installed beside strongSwan.
type Libreswan struct {
	Node *lab.Node
	Dir  string

	proc *lab.Proc
}

// programs is the folder of libreswan's programs.
const programs = "/usr/libexec/ipsec/"

// StartLibreswan starts pluto in the node, with connections in the form of ipsec.conf and secrets
// in the form of ipsec.secrets, and waits until it listens. By then, connections with
// auto=ondemand have their trap policies.
func StartLibreswan(d *lab.Node, connections, secrets string) (*Libreswan, error) {
	dir, err := d.Folder("pluto")
	if err != nil {
		return nil, fmt.Errorf("ike: %w", err)
	}
	l := &Libreswan{Node: d, Dir: dir}
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"ipsec.conf":    "config setup\n\tdnssec-enable=no\n\nconn %default\n\tleftupdown=%disabled\n\n" + connections,
		"ipsec.secrets": secrets,
	} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("ike: %w", err)
		}
	}
	for _, folder := range []string{"nss", "run"} {
		if err := os.MkdirAll(file(folder), 0o700); err != nil {
			return nil, fmt.Errorf("ike: %w", err)
		}
	}
	if _, err := d.Run("certutil", "-N", "-d", "sql:"+file("nss"), "--empty-password"); err != nil {
		return nil, fmt.Errorf("ike: %w", err)
	}
	l.proc, err = d.Start(lab.Command{
		Name: "pluto",
		Args: []string{
			programs + "pluto", "--nofork", "--stderrlog", "--config", file("ipsec.conf"), "--secretsfile", file("ipsec.secrets"),
			"--nssdir", file("nss"), "--rundir", file("run"),
		},
	})
	if err != nil {
		return nil, err
	}
	if err := l.proc.Logged(ready, "loading secrets from"); err != nil {
		return nil, err
	}
	return l, nil
}

// Proc returns the program.
func (l *Libreswan) Proc() *lab.Proc { return l.proc }
