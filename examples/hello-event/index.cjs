/** An event handler: as the payload it gets the event itself, over HTTP an object with path, headers and body. */
exports.handler = async (event) => {
	const name = event?.name ?? event?.queryStringParameters?.name ?? "world";
	return { hello: name };
};
