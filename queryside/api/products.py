"""The hot read: a plain route, bytes from the view to the wire."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from queryside.api.conditional import answer
from queryside.api.freshness import documented_header, freshness_of, number_in, wait_for_version
from queryside.api.models import Product
from queryside.api.parameters import refuse_others
from queryside.api.problems import problems
from queryside.errors import NotFound
from queryside.page_views import PageViewRecorder
from queryside.product_pages import ProductPages, etag
from queryside.views import VersionOf

PATH = "/v1/products/{product_id}"


async def get_product(request: Request) -> Response:
    product_id: str = request.path_params["product_id"]
    if request.scope["query_string"]:
        refuse_others(request)
    if (position := number_in(request, "Min-Position")) is not None:
        await freshness_of(request).position(("product", "stock"), position)
    await wait_for_version(request, VersionOf("product", product_id))
    pages: ProductPages = request.app.state.product_pages
    body = await pages.get(product_id)
    if body is None:
        raise NotFound("product", product_id)
    page_views: PageViewRecorder = request.app.state.page_views
    page_views.seen(product_id)
    return answer(request, body, etag(body), "public, no-cache")


DOCUMENTED = APIRoute(
    PATH,
    get_product,
    methods=["GET"],
    summary="A product page",
    description="The product as it is sold now, with its availability over all warehouses.",
    tags=["products"],
    response_model=Product,
    responses={304: {"description": "Not Modified"}, **problems(404, 422, 503)},
    openapi_extra={
        "parameters": [
            {"name": "product_id", "in": "path", "required": True, "schema": {"type": "string"}},
            documented_header("Min-Position"),
            documented_header("Min-Version"),
        ]
    },
)
