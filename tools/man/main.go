// Command man writes the man pages of all of fairlead's commands into a folder,
// for those who make packages:
//
//	man FOLDER
//
// It is a program of its own: otherwise the code that turns Markdown into man pages would be in
// the program on every router.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"

	"fairlead/internal/app/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write writes a page for each command, NAME.8.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.New(cli.Commands{Roles: cli.Join(cli.Relay(), cli.Relay4(), cli.Server6())})
	root.DisableAutoGenTag = true // no date, so that the same sources make the same pages
	return doc.GenManTree(root, &doc.GenManHeader{Section: "8", Source: "Fairlead"}, dir)
}
