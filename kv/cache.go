package kv

// keyMeta is what a put must know of the key's newest version.
type keyMeta struct {
	exists  bool // false: the newest version is a tombstone
	create  int64
	version int64
	lease   int64
}

// metaCache remembers the newest metadata of the keys written last, so that writing a hot key
// again needs no look into the engine. It is bounded in bytes; when full it forgets the key that
// was used longest ago. It belongs to the writer, and has no influence on any result.
type metaCache struct {
	limit, used int
	entries     map[string]*cacheEntry
	newest      cacheEntry // its next is the newest, its prev the oldest: a ring
}

type cacheEntry struct {
	key        string
	meta       keyMeta
	prev, next *cacheEntry
}

// cacheEntryBytes is roughly what an entry costs beside its key: itself and its place in the map.
const cacheEntryBytes = 128

func newMetaCache(limit int) *metaCache {
	c := &metaCache{limit: limit, entries: make(map[string]*cacheEntry)}
	c.newest.prev, c.newest.next = &c.newest, &c.newest
	return c
}

// get returns what is remembered of key.
func (c *metaCache) get(key []byte) (keyMeta, bool) {
	e := c.entries[string(key)]
	if e == nil {
		return keyMeta{}, false
	}
	c.unlink(e)
	c.link(e)
	return e.meta, true
}

// put remembers the newest metadata of key.
func (c *metaCache) put(key []byte, meta keyMeta) {
	if e := c.entries[string(key)]; e != nil {
		e.meta = meta
		c.unlink(e)
		c.link(e)
		return
	}
	size := len(key) + cacheEntryBytes
	if size > c.limit {
		return
	}
	e := &cacheEntry{key: string(key), meta: meta}
	c.entries[e.key] = e
	c.link(e)
	for c.used += size; c.used > c.limit; {
		oldest := c.newest.prev
		c.unlink(oldest)
		delete(c.entries, oldest.key)
		c.used -= len(oldest.key) + cacheEntryBytes
	}
}

func (c *metaCache) link(e *cacheEntry) {
	e.prev, e.next = &c.newest, c.newest.next
	e.prev.next, e.next.prev = e, e
}

func (c *metaCache) unlink(e *cacheEntry) {
	e.prev.next, e.next.prev = e.next, e.prev
}
