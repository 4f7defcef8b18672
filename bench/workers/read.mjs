/** Reads a snapshot's body from KV as the edge does, and nothing else: KV's own share of a cold answer. */
export default {
	async fetch(request, env) {
		const body = await env.SNAPSHOTS.get(decodeURIComponent(new URL(request.url).pathname.slice(1)), { type: "arrayBuffer", cacheTtl: 60 });
		return new Response(String(body?.byteLength));
	},
};
