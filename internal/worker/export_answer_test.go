package worker

// Ahead is how many bytes are held for the client.
func (a *Answer) Ahead() (n int) {
	for _, p := range a.parts {
		n += len(p.Bytes)
	}
	return n
}
