"use strict";
// The whole page, kept on this device when it is first seen: it then works without a network.
const VERSION = "{{version}}";
const FILES = {{files}};
const name = `fursure ${registration.scope} ${VERSION}`;

addEventListener("install", (event) => {
  const asked = FILES.map((file) => new Request(file, { cache: "no-cache" })); // none of an older version
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(asked)).then(() => skipWaiting()));
});
addEventListener("activate", (event) => {
  const older = (key) => key.startsWith(`fursure ${registration.scope} `) && key !== name;
  event.waitUntil(
    caches.keys().then((keys) => Promise.all(keys.filter(older).map((key) => caches.delete(key)))).then(() => clients.claim()),
  );
});
addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches.open(name).then(async (cache) => (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request)),
  );
});
