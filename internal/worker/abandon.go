package worker

// Abandon frees the instances of workers whose tasks were all ended from
// outside, as a crashed simulation does: there Close would wait for ever.
func (ws *Workers) Abandon() {
	for _, r := range ws.all() {
		r.capturing = false // whoever was at it has ended
		r.drop()
		r.forgetSaved()
	}
	ws.shells.close()
	ws.origins.close()
}
