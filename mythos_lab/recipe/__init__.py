"""What a run is: its schema, how YAML becomes it, and what it costs."""

from mythos_lab.recipe.compose import load_recipe
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.schema import Recipe

__all__ = ["Recipe", "RecipeError", "load_recipe"]
