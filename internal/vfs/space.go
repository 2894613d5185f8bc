package vfs

// Space is what a file system can tell and do about room, if it is one that knows. It is no part of FS: who keeps files needs
// none of it.
type Space interface {
	// Room returns how many bytes are free for this process on the file system of dir, and how many it has in all.
	Room(dir string) (free, total int64, err error)
	// Reserve makes a new file that takes up so much room, whatever is in it. An error leaves none behind. It is durable after
	// SyncDir, and what it is good for is to remove it.
	Reserve(name string, bytes int64) error
}
