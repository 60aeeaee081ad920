import { pullSchema, pushSchema } from "@berth/contracts";
import { getTransfer, listImages, pull, push, recover } from "../images.js";
import type { Route } from "../route.js";

/** Images, and registries of them. */
export const IMAGE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/images",
		summary: "The images of the project's versions",
		scope: "read",
		answers: { 200: "ImageList" },
		serve: listImages,
	},
	{
		method: "post",
		path: "/v1/images/push",
		summary: "Push a version's image to an OCI registry",
		scope: "deploy",
		body: pushSchema,
		answers: { 202: "ImageTransfer; it goes on at Location" },
		serve: push,
	},
	{
		method: "post",
		path: "/v1/images/pull",
		summary: "Pull an image that Berth built, as a new version of a function",
		scope: "deploy",
		body: pullSchema,
		answers: { 202: "ImageTransfer; it goes on at Location" },
		serve: pull,
	},
	{
		method: "get",
		path: "/v1/images/transfers/{id}",
		summary: "A push or a pull, as far as it is. `?after=` a revision waits for the next, 4 s at most.",
		scope: "read",
		answers: { 200: "ImageTransfer" },
		query: ["after"],
		serve: getTransfer,
	},
	{
		method: "post",
		path: "/v1/recover",
		summary: "Make functions and versions out of the images in the store, after the durable Redis was lost",
		scope: "operator",
		answers: { 200: "Recovery" },
		serve: recover,
	},
];
