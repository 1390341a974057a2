package labtest

import (
	"os"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
)

// program is the path of the program under test, once Main has built it.
var program string

// atOnce bounds how many networks of a package exist at the same time.
var atOnce = make(chan struct{}, 2)

// Main is the TestMain of a package that runs the program.
func Main(m *testing.M) {
	path, remove, err := relay.Build()
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	program = path
	code := m.Run()
	remove()
	os.Exit(code)
}

// Program returns the path of the program under test. The TestMain of the package must be Main.
func Program() string { return program }

// Need ends the test if there is an error.
func Need(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Until waits for a condition and ends the test if it never comes.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	Need(t, lab.Until(Patience, what, done))
}

// Parallel lets the test run at the same time as one other test.
func Parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	atOnce <- struct{}{}
	t.Cleanup(func() { <-atOnce })
}
