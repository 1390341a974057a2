//go:build tools

// Package lint pins the linters. It has a module of its own, so that none of
// them is a dependency of the program.
package lint

import (
	_ "honnef.co/go/tools/cmd/staticcheck"
	_ "mvdan.cc/gofumpt"
)
