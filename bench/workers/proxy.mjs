/** The least that a proxy can do: another host, and everything else as it came. */
export default {
	fetch(request, env) {
		const { pathname, search } = new URL(request.url);
		const url = env.ORIGIN_URL + pathname + search;
		return env.ORIGIN ? env.ORIGIN.fetch(url, request) : fetch(url, request);
	},
};
