// A handler of HTTP requests by the interface that browsers have.
//
//     any  /          the number of the request, its method and its query
//     any  /echo      the body, as it comes, with its type
//     any  /fetch     what is at the plain HTTP address that the body is, as in
//                     127.0.0.1:8080/path; 502 and the reason if nothing is
//     any  /trap      fails
//
// Everything else is not found. An instance takes one request: the engine
// refuses the second.
let requests = 0;

async function respond(request) {
	const url = new URL(request.url);
	switch (url.pathname) {
		case "/":
			requests++;
			return new Response(`request ${requests}: ${request.method} ${url.search.slice(1)}\n`);
		case "/echo":
			return new Response(request.body, {
				headers: { "content-type": request.headers.get("content-type") ?? "application/octet-stream" },
			});
		case "/fetch":
			try {
				const found = await fetch("http://" + (await request.text()).trim());
				return new Response(found.body, { status: found.status });
			} catch (why) {
				return new Response(String(why), { status: 502 });
			}
		case "/trap":
			throw new Error("as it was told");
		default:
			return new Response("not found\n", { status: 404 });
	}
}

addEventListener("fetch", (event) => event.respondWith(respond(event.request)));
