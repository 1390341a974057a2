package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// noise is the traffic of every cable that is not of interest.
const noise = "not icmp6 and not arp"

// record begins to record both cables, each into a new file.
func (c *chain) record() (err error) {
	for _, w := range c.wires {
		if w.capture != nil {
			if err := w.capture.Stop(); err != nil {
				return err
			}
		}
		if w.capture, err = capture.Start(w.node, w.link, noise); err != nil {
			return err
		}
	}
	return nil
}

// onlyESP fails if anything has passed but ESP, and IKE, which makes its keys. It returns how
// many packets were ESP.
func (w *wire) onlyESP() (esp int, err error) {
	lines, err := w.capture.Lines()
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		switch {
		case strings.Contains(line, ": ESP(spi=0x"):
			esp++
		case !strings.Contains(line, ": isakmp: ") && !strings.Contains(line, "isakmp-nat-keep-alive"):
			err = errors.Join(err, fmt.Errorf("in clear: %s", line))
		}
	}
	return esp, err
}

// says fails unless a text can be read in what has passed. It waits a moment, because the
// recording may be late.
func (w *wire) says(text string) (err error) {
	late := lab.Until(ample, fmt.Sprintf("%q is in the recording", text), func() (found bool) {
		found, err = w.contains(text)
		return found || err != nil
	})
	return errors.Join(err, late)
}

// hides fails if a text can be read in what has passed.
func (w *wire) hides(text string) error {
	found, err := w.contains(text)
	if err != nil {
		return err
	}
	return expect(!found, "it is in the recording")
}

func (w *wire) contains(text string) (bool, error) {
	b, err := os.ReadFile(w.capture.File)
	if err != nil {
		return false, fmt.Errorf("recording: %w", err)
	}
	return bytes.Contains(b, []byte(text)), nil
}

// show shows what tcpdump prints of a cable: at most so many lines that contain a word.
func (c *chain) show(w *wire, lines int, word string, options ...string) error {
	printed, err := w.capture.Lines(options...)
	if err != nil {
		return err
	}
	var kept strings.Builder
	for _, line := range printed {
		if strings.Contains(line, word) {
			kept.WriteString(visible(line))
		}
	}
	c.command(commandLine(inside(w.node, w.capture.Tcpdump(options...))), kept.String(), lines)
	return nil
}

// widest is how many columns of a line of octets are shown.
const widest = 110

// visible shortens a line of octets to the part where its text is.
func visible(line string) string {
	if i := strings.Index(line, subscriber); i > 0 && len(line) > widest {
		line = "... " + line[max(0, i-widest/2):]
	}
	return line[:min(len(line), widest)] + "\n"
}
