/** The least that a proxy can do: another host, and everything else as it came. */
export default {
	fetch(request, env) {
		const { pathname, search } = new URL(request.url);
		return fetch(env.ORIGIN + pathname + search, request);
	},
};
