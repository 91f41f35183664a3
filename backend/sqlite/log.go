// The write-ahead log as a file: it is made longer ahead of need.

package sqlite

import "os"

const (
	// logPages is how many pages the log has when it begins anew.
	logPages = 2000
	// frame is what a page takes in the log: https://www.sqlite.org/fileformat2.html#walformat
	frame = 24 + 4096
	// logStep bounds how much longer the log is made at once: all of it is to be flushed with the next commit.
	logStep = 1 << 20
)

// logFile is the log beside a database. A commit that makes it longer also has the file system record its new length,
// which takes about as long as the commit itself (0.1 ms on ext4), and while a log is young that is every commit. So after one
// that did the next transaction begins with zeros behind the end: twice the length, at most logStep more, up to where the log begins anew anyway. SQLite
// takes the log to end at the first frame whose checksum is not right, zeros or what is left of an earlier round.
type logFile struct {
	path string
	file *os.File
	done bool  // it is long enough, or it cannot be opened or written: then commits take longer, that is all
	size int64 // when it was last looked at
}

var zeros [logStep]byte

// due returns how long the log is when the last commit has made it longer, and 0 when there is nothing to do.
func (l *logFile) due() int64 {
	if l.done {
		return 0
	}
	size, err := l.length()
	l.done = err != nil || size >= logPages*frame
	if l.done {
		return 0
	}
	if l.size > 0 && size > l.size { // how long it is says nothing at first: a program that writes once leaves it alone
		return size
	}
	l.size = size
	return 0
}

func (l *logFile) length() (int64, error) {
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		l.file = file
	}
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// grow is called in a transaction that has written nothing yet. At the writer's turn alone, after a commit, another program
// that knows nothing of the turnstile, a shell or a replicator, may be writing just there, and zeros would take the place of what it commits.
func (l *logFile) grow() {
	size := l.due()
	if size == 0 {
		return
	}
	more := min(size, logStep, logPages*frame-size)
	if _, err := l.file.WriteAt(zeros[:more], size); err != nil { // a full disk is for commits to find out about
		l.done = true
		return
	}
	l.size = size + more
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
