package service

import (
	"errors"
	"net"
	"os"
	"os/user"

	"fairlead/internal/app/config"
)

// Machine tells config.Misfits about this host. held are the live delegations by link, as far as
// they are known.
func Machine(held map[string]int) (*config.Machine, error) {
	m := &config.Machine{
		Held:    held,
		User:    func(name string) bool { _, err := user.Lookup(name); return err == nil },
		Group:   func(name string) bool { _, err := user.LookupGroup(name); return err == nil },
		Program: runnable,
	}
	all, err := net.Interfaces()
	for _, i := range all {
		m.Interfaces = append(m.Interfaces, i.Name)
	}
	return m, err
}

// runnable reports why a program cannot be run.
func runnable(path string) error {
	info, err := os.Stat(path)
	var at *os.PathError
	switch {
	case errors.As(err, &at):
		return at.Err // the caller knows the path
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case info.Mode().Perm()&0o111 == 0:
		return errors.New("not executable (chmod +x)")
	}
	return nil
}
