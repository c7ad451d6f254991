// What the world kit-hosted has besides, given the host's interface.

export function makeHosted({ Bucket, log, remove }, integer64) {
	let held;

	// put, open and whatever else can fail throws what the host says, on one
	// engine as it is, on the other as the payload of an error.
	const reason = (thrown) => thrown?.payload ?? thrown;

	// using gives what use gives for bucket, which is no more after that.
	function using(bucket, use) {
		try {
			return use(bucket);
		} finally {
			bucket[Symbol.dispose]();
		}
	}

	return {
		fill(name, entries) {
			return using(new Bucket(name), (bucket) => {
				for (const [key, value] of entries) {
					log("debug", key);
					try {
						bucket.put(key, value);
					} catch (thrown) {
						log("warning", reason(thrown));
						throw reason(thrown);
					}
				}
				return bucket.keys();
			});
		},
		lookUp(name, key) {
			let bucket;
			try {
				bucket = Bucket.open(name);
			} catch (thrown) {
				log("error", reason(thrown));
				return undefined;
			}
			return using(bucket, () => bucket.get(key));
		},
		weigh(bucket) {
			const sizes = bucket.keys().map((key) => bucket.get(key).length);
			return integer64(sizes.reduce((sum, size) => sum + size, 0));
		},
		hold(bucket) {
			const before = held;
			held = bucket;
			return before;
		},
		discard() {
			if (held === undefined) return undefined;
			const bucket = held;
			held = undefined;
			return remove(bucket);
		},
	};
}
