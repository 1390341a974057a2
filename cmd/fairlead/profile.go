//go:build profile

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

// A build with the tag profile writes down where a relay's first minute goes, into
// the file of that name. default.pgo, from which the compiler learns what is hot,
// comes from there: make profile.
const (
	profileFile = "FAIRLEAD_PROFILE"
	profileFor  = time.Minute
)

func init() {
	name := os.Getenv(profileFile)
	if name == "" || len(os.Args) < 2 || os.Args[1] != "run" {
		return
	}
	file, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fairlead: profile:", err)
		os.Exit(1)
	}
	time.AfterFunc(profileFor, func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "fairlead: profile:", err)
		}
	})
}
