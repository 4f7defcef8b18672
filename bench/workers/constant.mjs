/** The least a Worker can do: no look at the request, one of a few texts as the answer, chosen by the path. */
export default {
	fetch: (request, env) =>
		new Response(env[request.url.slice(request.url.lastIndexOf("/") + 1)], { headers: { "Content-Type": "application/json" } }),
};
