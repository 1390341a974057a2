package relay_test

import (
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
)

// TestMain plays a program that behaves towards its starter as fairlead does, if a test starts
// this binary as one.
func TestMain(m *testing.M) {
	switch os.Getenv("RELAY_TEST_BE") {
	case "":
		os.Exit(m.Run())
	case "fairlead":
		pretend(os.Args)
	case "broken":
		println("fairlead.yaml:1:1: nothing in it")
		os.Exit(1)
	}
}

// pretend counts its starts in the state folder, serves one page, and handles the signals.
func pretend(args []string) {
	if len(args) != 4 || args[1] != "run" || args[2] != "--config" {
		panic(args)
	}
	dir := filepath.Dir(args[3])
	starts := filepath.Join(dir, "state", "starts")
	before, _ := os.ReadFile(starts)
	if err := os.WriteFile(starts, append(before, 'x'), 0o600); err != nil {
		panic(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	socket := filepath.Join(dir, "control.sock")
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte(r.Method + " " + r.URL.Path))
	}))
	tell("READY=1")
	for s := range signals {
		if s == syscall.SIGTERM {
			os.Exit(0)
		}
		tell("RELOADING=1\nMONOTONIC_USEC=1")
		tell("READY=1")
	}
}

func tell(text string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		panic(err)
	}
}

var need = labtest.Need

func TestLife(t *testing.T) {
	d, err := lab.ForTest(t).Node("r")
	need(t, err)
	r, err := relay.Start(d, relay.Config{Binary: os.Args[0], Text: "peers: []\n", Env: []string{"RELAY_TEST_BE=fairlead"}})
	need(t, err)
	text, err := os.ReadFile(r.File)
	need(t, err)
	for _, want := range []string{"state: " + r.State + "\n", "control:\n  socket: " + r.Socket + "\n", "peers: []\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the configuration lacks %q:\n%s", want, text)
		}
	}
	status, body, err := r.Call("GET", "status", "")
	need(t, err)
	if status != http.StatusTeapot || string(body) != "GET /status" {
		t.Errorf("Call = %d %q", status, body)
	}
	need(t, r.Kill())
	need(t, r.Start())
	need(t, r.Reload("control:\n  socket: "+r.Socket+"\npeers: []\n"))
	text, err = os.ReadFile(r.File)
	need(t, err)
	if n := strings.Count(string(text), "control:"); n != 1 {
		t.Errorf("%d control keys in the new configuration:\n%s", n, text)
	}
	need(t, r.Stop())
	starts, err := os.ReadFile(filepath.Join(r.State, "starts"))
	need(t, err)
	if string(starts) != "xx" {
		t.Errorf("%d starts on record, want 2: the state folder did not last", len(starts))
	}
}

func TestBrokenStartIsReported(t *testing.T) {
	d, err := lab.ForTest(t).Node("r")
	need(t, err)
	_, err = relay.Start(d, relay.Config{Binary: os.Args[0], Env: []string{"RELAY_TEST_BE=broken"}})
	if err == nil || !strings.Contains(err.Error(), "nothing in it") {
		t.Errorf("Start = %v, want the program's own words", err)
	}
}
