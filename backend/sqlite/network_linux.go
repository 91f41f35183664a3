// Network file systems cannot be trusted with locks.

package sqlite

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// refuseNetwork fails when a directory is on a network file system.
func refuseNetwork(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if name := networkName(uint32(st.Type)); name != "" {
		return fmt.Errorf("%s is on a network file system (%s), where file locks cannot be trusted: "+
			"put the database on a local disk, or use a database server", dir, name)
	}
	return nil
}

func networkName(magic uint32) string {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.CIFS_SUPER_MAGIC:
		return "CIFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB"
	}
	return ""
}
