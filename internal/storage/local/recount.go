package local

// recount finds out what counts in each file. It is needed for an index that
// was made anew: the log then has records whose ends are told before them, as
// those were moved. Nobody else uses the index yet.
func (x *index) recount() error {
	for _, f := range x.files {
		f.live = 0
	}
	for _, prefix := range []byte{keyBlob, keyCell, keyWorker} {
		for after := ""; ; {
			keys, err := x.keys(string(prefix), after, listed)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := x.recountKey(key); err != nil {
					return err
				}
			}
			if len(keys) < listed {
				break
			}
			after = keys[len(keys)-1]
		}
	}
	return nil
}

func (x *index) recountKey(key string) error {
	if key[0] != keyWorker {
		i, ok, err := x.item(key)
		if ok && !i.deleted {
			x.count(i.file, i.cost())
		}
		return err
	}
	w, err := workerOf([]byte(key))
	if err != nil {
		return err
	}
	r, err := x.read(w, 1)
	if err != nil {
		return err
	}
	defer r.close()
	if r.truncateFile != 0 {
		x.count(r.truncateFile, recordCost)
	}
	for i := r.below; i <= r.last; {
		c, ok, next, err := r.at(i)
		switch {
		case err != nil:
			return err
		case ok:
			x.count(c.file, c.cost())
			i = c.last() + 1
		case next == 0:
			return nil
		default:
			i = next
		}
	}
	return nil
}
