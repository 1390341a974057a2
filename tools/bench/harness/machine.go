package harness

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// DescribeMachine adds the properties that all figures depend on: processor, number of
// processors, kernel, Go version and load average.
func (r *Results) DescribeMachine() {
	r.Describe("processor", processor())
	r.Describe("cores", fmt.Sprint(runtime.NumCPU()))
	r.Describe("kernel", Kernel())
	r.Describe("go", runtime.Version())
	r.Describe("load-average", LoadAverage())
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}

// Kernel returns the machine's kernel with its version.
func Kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// LoadAverage returns the three averages, as the kernel prints them.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// version returns the first line of what a fairlead prints about its version.
func version(program string) string {
	out, err := exec.Command(program, "version").Output()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// Debian returns the version of an installed package.
func Debian(pkg string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", pkg).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// FileSystem returns the kind of file system that a folder is on, such as "ext4" or "tmpfs".
func FileSystem(dir string) string {
	out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE", "-T", dir).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
