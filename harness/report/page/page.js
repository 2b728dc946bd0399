// Puts the page together; a failure is said on the page, not only in the console.

function failed(error) {
  console.error(error);
  document.querySelector("main").prepend(make("p", { class: "notice", role: "alert" }, `This page failed: ${error.message}`));
}

addEventListener("unhandledrejection", (event) => failed(event.reason));

part("summary").then(async (run) => {
  const items = browser(run);
  for (const draw of [averages, differences, stages, suite, categories, protocols, ablation, audit, cost, training]) draw(run);
  byId("nav").append(...[...document.querySelectorAll("section")].filter((section) => !section.hidden)
    .map((section) => make("a", { href: `#${section.id}` }, section.dataset.title)));
  await items;
  document.documentElement.dataset.ready = "yes";
}).catch(failed);
